"""torch's Adam without torch's compiler: to load it takes each process that trains more than a second of a core."""

import inspect

import torch


class Adam(torch.optim.Adam):
    """The same steps: torch wraps them, and other methods of optimisers, in words to its compiler, which it loads.

    Nothing here is compiled. Where another version of torch wraps them in another way, it loads its compiler again.
    """

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


for _method in vars(torch.optim.Optimizer).values():
    if (_as_written := getattr(_method, "__wrapped__", None)) is not None:
        # What torch would find out at the first call: how to call the method so that it is not compiled.
        _as_written.__dict__.setdefault("__dynamo_disable", _as_written)
