"""What each of several jobs on one machine is given."""

from cnnlit.sweeps.resources import Resources, visible_gpus

ONE_GPU = {"accelerator": "auto", "devices": 1}


def test_jobs_have_their_own_gpus_as_long_as_there_are_enough():
    shares = Resources(4, ["0", "1", "2"], list(range(8)))
    given = [shares.deal(job, ONE_GPU)[0] for job in range(3)]
    assert sorted(gpu for (gpu,) in given) == ["0", "1", "2"]
    shares.take_back(1)
    assert shares.deal(3, ONE_GPU)[0] == given[1]


def test_more_jobs_than_gpus_share_them_evenly():
    shares = Resources(4, ["0", "1"], [0])
    given = [shares.deal(job, ONE_GPU)[0][0] for job in range(4)]
    assert sorted(given) == ["0", "0", "1", "1"]


def test_jobs_that_name_their_gpus_or_take_all_or_none_see_what_there_is():
    shares = Resources(5, ["0", "1"], [0])
    for job, devices in enumerate((-1, "auto", [1], 3)):
        assert shares.deal(job, {"accelerator": "gpu", "devices": devices})[0] is None
    assert shares.deal(4, {"accelerator": "cpu", "devices": 1})[0] is None


def test_the_cores_are_shared_out_without_rest():
    shares = Resources(3, [], list(range(8)))
    cores = [shares.deal(job, {})[1] for job in range(3)]
    assert sorted(core for share in cores for core in share) == list(range(8))
    assert {len(share) for share in cores} == {2, 3}
    crowded = Resources(3, [], [4, 5])
    assert [len(crowded.deal(job, {})[1]) for job in range(3)] == [1, 1, 1]


def test_gpus_that_are_hidden_are_not_dealt(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
