"""SCP, synchronized contrastive pruning (Meng et al.): both branches sparse, a density gap apart."""

from __future__ import annotations

from accelsim.sparsity.granet import GraNet
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.schedules import CosineExchange, LessSparse, Schedule


class SCP(GraNet):
    """Two synchronised masks: pruned and regrown at the same steps, the offline branch `gap` less sparse.

    At each update and for each branch: global pruning by the criterion to the cubic schedule's sparsity, then an
    exchange in each layer, what goes by the criterion, what comes by the dense gradient. `log` holds the overlap of the
    two branches' masks and of each branch's with its own before the update.

    Args:
        online: the branch that learns.
        offline: the momentum encoder's branch 0, or branch 1 of the same encoder (SimCLR: each view its own mask).
        schedule: the online branch's sparsity.
        exchange: share of the living to exchange; published: from 0.5 to 0.005.
        gap: the offline branch's sparsity is the online one's less this, at least 0.
        pattern: see `find_pattern`; published: element, N:M and blocks.
        criterion: key of `CRITERIA`; published: magnitude and ema-magnitude.

    Raises:
        TrainingError: see `GraNet`; a gap outside [0, 1).
    """

    def __init__(
        self,
        online: MaskedBranch,
        offline: MaskedBranch,
        schedule: Schedule,
        exchange: CosineExchange,
        gap: float = 0.3,
        pattern: str = "element",
        criterion: str = "ema-magnitude",
    ) -> None:
        super().__init__([online, offline], [schedule, LessSparse(schedule, gap)], exchange, pattern, criterion)
