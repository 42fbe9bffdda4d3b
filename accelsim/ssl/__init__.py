"""Self-supervised training of sparse networks: `accelsim train`'s inside. Needs PyTorch.

`train.train(config, out, recording)` is the whole run, `training.Training` one run in memory, step by step;
`encoders`, `augment`, `losses`, `simclr`, `data` and `evaluate` are the pieces, each usable alone.
"""
