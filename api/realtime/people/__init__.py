"""What a socket tells of people, and of them only: as they are at the moment, in no mailbox, and for nobody to keep."""
