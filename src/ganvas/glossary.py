"""The names that settings of several systems share, and what papers and other tools call the same thing.

The docs page of the same name explains them to a reader; a test holds both to each other, and every system to both. Not for
what one system alone has. Free of torch.
"""

from __future__ import annotations

ALSO: dict[str, tuple[str, ...]] = {
    "latent_size": ("latent", "z_dim", "nz", "latent_dim", "noise_dim", "z_size"),
    "code_size": ("bottleneck", "code_dim", "n_bottleneck"),
    "width": ("ngf", "ndf", "channels", "base_channels", "nf", "dim"),
    "max_width": ("fmap_max", "channel_max"),
    "blocks": ("n_blocks", "res_blocks", "n_residual_blocks"),
    "patch_depth": ("n_layers_d", "n_layers"),
    "scales": ("num_d",),
    "feature_weight": ("lambda_feat",),
    "gumbel_temperature": ("tau",),
    "hop": ("hop_length", "hop_size"),
    "embedding_size": ("embed_dim", "emb_dim", "embedding_dim"),
    "upsampling": ("upsample", "upsample_mode", "doubling"),
    "learning_rate": ("lr", "rate", "alpha"),
    "generator_learning_rate": ("lr_g", "g_lr", "glr", "generator_rate"),
    "discriminator_learning_rate": ("lr_d", "d_lr", "dlr", "discriminator_rate"),
    "critic_learning_rate": ("lr_critic", "critic_rate"),
    "pretraining_learning_rate": ("pretrain_lr", "pretraining_rate"),
    "beta1": ("b1", "adam_beta1", "momentum"),
    "beta2": ("b2", "adam_beta2"),
    "weight_decay": ("l2", "wd"),
    "gradient_clip": ("grad_clip", "clip_grad", "max_grad_norm", "clip_grad_norm"),
    "optimiser": ("optimizer", "optim"),
    "linear_decay": ("lr_decay", "fading"),
    "decay_start": ("n_epochs_decay", "decay_epoch", "lr_decay_start"),
    "batch_size": ("batch", "bs"),
    "generator_turns": ("g_steps", "n_gen"),
    "critic_turns": ("n_critic", "critic_iters", "d_iters", "d_steps"),
    "penalty_weight": ("lambda_gp", "gp_weight", "gp", "penalty"),
    "smoothness_weight": ("tv_weight", "lambda_tv"),
    "adversarial_weight": ("lambda_adv", "lambda_gan", "gan_weight"),
    "orthogonal_weight": ("ortho", "orthogonal"),
    "r1_weight": ("gamma", "r1_gamma"),
    "class_weight": ("lambda_cls",),
    "cycle_weight": ("lambda_cycle", "lambda_a", "cycle"),
    "identity_weight": ("lambda_identity", "lambda_idt", "identity"),
    "pool_size": ("pool", "buffer_size", "replay_buffer"),
    "l1_weight": ("lambda_l1", "lambda_pixel"),
    "ema_half_life": ("ema", "ema_kimg", "ema_decay", "ema_beta", "averaging"),
    "augment": ("diffaugment", "diff_augment", "aug"),
    "generator_last": ("upsample", "upsampling_mode"),
    "smoothing": ("label_smoothing", "smooth"),
    "flip": ("mirror", "hflip", "horizontal_flip", "flips"),
    "dropout": ("drop", "dropout_rate"),
    "discriminator_batch_norm": ("d_batchnorm", "bn_d"),
    "generator_batch_norm": ("g_batchnorm", "bn_g"),
    "attributes": ("selected_attrs",),
    "truncation": ("psi", "truncation_psi"),
    "search_steps": ("steps", "iterations", "n_iter", "num_steps"),
    "encoder_learning_rate": ("lr_e", "encoder_lr"),
    "search_learning_rate": ("step_size", "search_lr"),
    "normal": ("normal_class",),
    "bands": ("n_mels", "num_mels"),
    "layers": ("n_layers_g", "num_layers"),
}
"""Name of a setting -> what people type who know other tools. An unknown setting is answered with the name it has here."""


def here(word: str, known: list[str]) -> list[str]:
    """What a word of another tool may be called among the known settings: `lr` -> both players' learning rates."""
    word = word.lower().replace("-", "_")
    named = [name for name, others in ALSO.items() if word in others]
    if named == ["learning_rate"]:  # one for each player, where they do not share one
        return [name for name in known if name == "learning_rate" or name.endswith("_learning_rate")]
    return [name for name in named if name in known]
