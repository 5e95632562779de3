"""The losses and metrics of Keras that are not here yet: an error for such a name says so, and suggests no other."""

from __future__ import annotations

LOSSES = frozenset(
    "binary_focal_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy categorical_hinge "
    "circle cosine_similarity ctc dice hinge huber kl_divergence kld log_cosh loss_function_wrapper mape "
    "mean_absolute_percentage_error mean_squared_logarithmic_error msle poisson squared_hinge tversky".split()
)
METRICS = frozenset(
    "auc binary_focal_crossentropy binary_io_u categorical_focal_crossentropy categorical_hinge "
    "concordance_correlation cosine_similarity f1_score f_beta_score false_negatives false_positives hinge huber io_u "
    "kl_divergence log_cosh log_cosh_error mape mean_absolute_percentage_error mean_io_u "
    "mean_squared_logarithmic_error msle one_hot_io_u one_hot_mean_io_u pearson_correlation poisson precision "
    "precision_at_recall r2_score recall recall_at_precision sensitivity_at_specificity "
    "sparse_top_k_categorical_accuracy specificity_at_sensitivity squared_hinge top_k_categorical_accuracy "
    "true_negatives true_positives".split()
)
