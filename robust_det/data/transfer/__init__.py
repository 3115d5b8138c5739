"""The data sets of classification transfer: their copies told apart, their splits written down."""
