"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine 2017)."""

from __future__ import annotations

from quickstudy.learners.gradient import GradientLearner


class MAML(GradientLearner):
    """Learns an initialisation from which a few gradient steps learn a task.

    phi_{k+1} = phi_k - alpha dL_support(phi_k)/dphi, and the outer loss is L_query(phi_K), averaged over tasks
    (equation 1 and algorithm 1). `gradient="exact"` differentiates through the K steps; `"first_order"` takes
    dL_query/dphi at phi_K as the gradient at phi_0 (section 5.2).
    """
