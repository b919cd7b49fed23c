"""What running backends share: the decode loop, views, the slot cache, model adapters."""
