"""GPUs and cores are divided among the jobs that run at once."""

from cnnlit.sweeps.resources import Resources, visible_gpus

ONE_GPU = {"accelerator": "auto", "devices": 1}


def test_jobs_have_their_own_gpus_as_long_as_there_are_enough():
    resources = Resources(4, ["0", "1", "2"], list(range(8)))
    given = [resources.allocate(job, ONE_GPU)[0] for job in range(3)]
    assert sorted(gpu for (gpu,) in given) == ["0", "1", "2"]
    resources.release(1)
    assert resources.allocate(3, ONE_GPU)[0] == given[1]


def test_more_jobs_than_gpus_share_them_evenly():
    resources = Resources(4, ["0", "1"], [0])
    given = [resources.allocate(job, ONE_GPU)[0][0] for job in range(4)]
    assert sorted(given) == ["0", "0", "1", "1"]


def test_jobs_that_name_their_gpus_or_take_all_or_none_see_all_of_them():
    resources = Resources(5, ["0", "1"], [0])
    for job, devices in enumerate((-1, "auto", [1], 3)):
        assert resources.allocate(job, {"accelerator": "gpu", "devices": devices})[0] is None
    assert resources.allocate(4, {"accelerator": "cpu", "devices": 1})[0] is None


def test_the_cores_are_divided_evenly_with_none_left_over():
    resources = Resources(3, [], list(range(8)))
    cores = [resources.allocate(job, {})[1] for job in range(3)]
    assert sorted(core for own in cores for core in own) == list(range(8))
    assert {len(own) for own in cores} == {2, 3}
    crowded = Resources(3, [], [4, 5])
    assert [len(crowded.allocate(job, {})[1]) for job in range(3)] == [1, 1, 1]


def test_hidden_gpus_are_not_allocated(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
