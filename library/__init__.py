"""Methods of papers, one file each, and the zoo of small models they run on."""
