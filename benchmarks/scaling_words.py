"""The prose of docs/scaling.md, between the tables of benchmarks.scaling."""

OPENING = """\
# Scaling: ImageNet and beyond on 8, 64 and 1,024 devices

Computed by `python -m benchmarks.scaling`, which prints this page, from the assumptions in the first table. It is
arithmetic, not measurement: cnnlit has been run on two and four processes. An error of a factor of two in any row
would be no surprise; the page is meant to show which limit comes first."""

GRADIENTS = """\
## Compute and gradients

The backward pass takes twice the compute of the forward pass. Gradients are sent during the backward pass, so they
cost nothing as long as they take less than two thirds of the compute; the device waits for the rest. All devices form
one ring, limited by its slowest link: within a machine or, with several machines, between them. With one network
adapter per device, eight rings share the work, and 64 and 1,024 devices need an eighth of the time given here for
their gradients. Latency is not counted. All networks are assumed to compute at ResNet-50's rate; AlexNet, which
computes little per byte moved, benefits most from this, and even so 64 devices are hardly faster than 8. The last
column of the first table says how many images each of 1,024 devices needs for the gradients to cost nothing: where 32
are too few, a larger batch helps."""

DATA = """\
## Images: bytes and cores

What a device consumes if it waits for nothing else, the same for any number of devices. The raw store suits only crops
of 224 out of 256 pixels; the 384-pixel store suits crops of random size."""

FAR = """\
## Shards, and an object store

Tar shards and parquet files hold the originals: on a disk they need the cores and the bytes of class folders above,
and no listing of files. From an object store an image of a tar shard or of a prepared store is a request of its own,
and one of a parquet file comes with its group of rows, which every worker that shows some of it asks for again, unless
`data.cache_gb` keeps it. S3 promises 5,500 requests per second for each prefix."""

RECIPE = """\
## The batch

`recipe.batch_size` is global, over all devices, and neither it nor the learning rate changes by itself. The 256 images
of `he2015` give each of 64 devices four images; with 1,024 devices three quarters would get none, which is refused. A
larger batch is the user's decision: `recipe.batch_size=2048 recipe.optimizer.lr=0.8 recipe/schedule=warmup5_cosine`
scales the rate in proportion and warms up over five epochs (Goyal et al. 2017, who preserve ResNet-50's error up to
8,192 images and no further). The schedule of `he2015` has no warm-up, and its patience is in epochs, not steps. There
is no LARS or LAMB."""

BEYOND = """\
## Beyond: ImageNet-21k

More images make epochs longer, but steps no slower; more classes make the last layer larger. What changes in kind is
listing the images."""

LIMITS = """\
## What cnnlit does at each limit

- **Compute.** The default is float32. `trainer.precision=bf16-mixed` is what the rate above takes for granted;
  `channels_last=true` and `compile=true` (neither with `fsdp` or `two_towers`) help it.
- **Gradients.** `trainer.strategy=ddp` sends them during the backward pass, in float32. `fsdp` shards parameters and
  optimizer state over the devices and sends half as much again; none of these networks is large enough to need it.
  AlexNet's `two_towers` sends less, for two devices. `run.json` has `exchanged_bytes_per_step`. Gradients are not
  compressed, and there is no local SGD.
- **Cores.** Each process has `data.num_workers` workers, by default its share of the machine's cores, at most 16.
  `python -m cnnlit.prepare` builds the stores, once, on one machine or in shares on many (`prepare.shard=3/16`), and
  resumes where it was interrupted. A raw store is read by at most four threads of the process. Nothing is decoded on a
  GPU.
- **Bytes.** Every device may need any image in any epoch, so each machine needs the whole store, on its own disk or a
  shared one: prepared at 256 pixels, it fits into a machine's memory; raw, if that is 300 GB. `data.block_images`
  reads a slow disk in long sequential blocks. Of a set in an object store (`data.root=s3://...`) a machine holds the
  shards in `data.copies`, keeps as much as `data.cache_gb` says, and reads the rest in every epoch.
- **Waiting for data.** `run.json` has `seconds_waiting`, the time during which the device had no batch, and the end of
  a run says which setting to change. `python -m cnnlit.doctor doctor.images_per_second=4700` tells beforehand.
- **Batch.** See above. `trainer.sync_batchnorm=true` (`ddp`) normalises over all images where each device has few.
  `data.eval_batch_size` is global too: its 250 leave each of 1,024 devices less than one image, so raise it.
- **Epochs of seconds.** Every epoch ends with validation and a checkpoint, during which training stands still.
  `+trainer.check_val_every_n_epoch=10` validates less often; the checkpoint at the end of each epoch remains. At the
  shortest epochs above, these take longer than training.
- **Epochs of hours.** `checkpoint_minutes` (30) bounds what a crash costs, and `resume=` continues with the next
  batch. A checkpoint is assembled in the first process's memory before it is written: 8 bytes per parameter with
  momentum SGD.
- **A device or machine that fails** ends the run on all of them, with its error: a crash within seconds, a silent
  machine after half a minute, waiting for another process after `timeout_seconds` (300). A run does not continue on
  the remaining machines. Each process asks the first one every two seconds for a heartbeat of each other machine:
  65,000 requests per second with 1,024 processes on 128 machines, which nobody has tried.
- **Writing.** Only the first process writes, draws and tracks; the others need a disk only for the images.
- **Listing.** Every process lists the class folders itself, which makes for a slow start on a shared disk. A prepared
  store has a memory-mapped index and up to 128 shards; a shard interrupted while being written is started over."""
