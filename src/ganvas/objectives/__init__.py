"""Pure functions of logits and samples: adversarial losses, penalties, augmentation. No state, no modules."""
