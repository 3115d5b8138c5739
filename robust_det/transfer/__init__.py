"""Classification transfer: a backbone on another set of classes, frozen or fine-tuned."""
