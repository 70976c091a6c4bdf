"""The three approaches of Hoffmann et al. 2022, and the choice between laws."""
