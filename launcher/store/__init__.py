"""The run store: plain files, one writer each."""
