"""The sentences of docs/scaling.md, between the tables of benchmarks.scaling."""

OPENING = """\
# Scaling: ImageNet and beyond on 8, 64 and 1,024 devices

Computed by `python -m benchmarks.scaling`, which prints this page, from the assumptions in the first table. It is
arithmetic, not a measurement: cnnlit has been run on two and four processes. An error of a factor of two in any one row
would be no surprise; which limit comes first is what the page is for."""

GRADIENTS = """\
## Compute and gradients

A step computes forwards and twice as much backwards. Gradients are sent while the way back goes on, so they cost
nothing as long as they take less than two thirds of the compute; what is left waits. All devices form one ring, whose
slowest link decides: within a machine, or, of several machines, between them. With an adapter for each device eight
rings share the work, and 64 and 1,024 devices take an eighth of the time for their gradients that is given here.
Latency is not counted. All networks are given ResNet-50's rate; AlexNet, which computes little for each byte that it
moves, is flattered most, and even so 64 devices are hardly faster than 8. The last column of the first table says how
many images 1,024 devices need each for the gradients to cost nothing: where 32 are too few, a larger batch helps."""

DATA = """\
## Images: bytes and cores

What a device asks for that waits for nothing else, the same for any number of devices. The raw store suits crops of
224 out of 256 pixels alone, the one of 384 pixels crops of random size."""

RECIPE = """\
## The batch

`recipe.batch_size` is that of all devices together, and neither it nor the rate changes by itself. He2015's 256 images
leave a device of 64 four images, and of 1,024 devices three quarters nothing, which is refused. To grow is the user's
decision: `recipe.batch_size=2048 recipe.optimizer.lr=0.8 recipe/schedule=warmup5_cosine` grows the rate in proportion
and warms up over five epochs (Goyal et al. 2017, who keep ResNet-50's error up to 8,192 images and no further).
He2015's own schedule has no warm-up, and counts its patience in epochs, not in steps. There is no LARS or LAMB here."""

BEYOND = """\
## Beyond: ImageNet-21k

More images make epochs longer and steps no slower; more classes make the last layer larger. What changes its kind is
the listing."""

LIMITS = """\
## What cnnlit does at each limit

- **Compute.** The default is float32. `trainer.precision=bf16-mixed` is what the rate above takes for granted;
  `channels_last=true` and `compile=true` (neither with `fsdp` or `two_towers`) help it.
- **Gradients.** `trainer.strategy=ddp` sends them while the way back goes on, in float32. `fsdp` divides parameters and
  optimizer over the devices and sends half as much again; none of these networks needs it for its size. AlexNet's
  `two_towers` sends less, for two devices. `run.json` has `exchanged_bytes_per_step`. Gradients are not compressed,
  and steps are not local.
- **Cores.** Each process has `data.num_workers` workers, by default its share of the machine's cores and 16 at most.
  `python -m cnnlit.prepare` makes the stores, once, on one machine, and goes on where it was cut off. A raw store is
  read by four threads of the process at most. Nothing is decoded on a GPU.
- **Bytes.** Every device may show any image in any epoch, so each machine needs the whole store, on its own disk or a
  shared one: prepared, at 256 pixels, it fits into a machine's memory; raw, where that has 300 GB.
  `data.block_images` reads a slow disk in long strides. A store is not divided over machines, and not read from an
  object store.
- **Whether it waited.** `run.json` has `seconds_waiting`, the time in which the device had no batch, and the end of a
  run says what to turn. `python -m cnnlit.doctor doctor.images_per_second=4700` tells beforehand.
- **Batch.** See above. `trainer.sync_batchnorm=true` (`ddp`) normalises by all images where a device has few.
  `data.eval_batch_size` is of all devices too: its 250 leave 1,024 devices less than an image each, so raise it.
- **Epochs of seconds.** Every epoch ends with a validation and a checkpoint, for which training stands still.
  `+trainer.check_val_every_n_epoch=10` thins out the validation; the checkpoints of ends of epochs stay.
  At the shortest epochs above they take longer than the training.
- **Epochs of hours.** `checkpoint_minutes` (30) bounds what a crash costs, and `resume=` goes on with the next batch. A
  checkpoint is whole in the first process's memory before it is written: 8 bytes for each parameter of momentum SGD.
- **A device or a machine that fails** ends the run on all, with its error: a crash within seconds, a silent machine
  after half a minute, a wait for another process after `timeout_seconds` (300). A run does not go on with the machines
  that are left. Each process asks the first one every two seconds for a sign of life of each other machine: 65,000
  questions a second with 1,024 processes on 128 machines, which nobody has tried.
- **Writing.** The first process alone writes, draws and tracks; the others need no disk but for the images.
- **Listing.** Every process lists the class folders itself, which on a shared disk is what starts slowly. A prepared
  store has an index that is mapped into memory, and up to 128 shards; one whose making is cut off is made again from
  its beginning."""
