"""`make bench`: what HelixNet does, and the floors that it is measured against, in one run on one machine."""
