"""What people do in a test under load beside sending to one another: changes of messages, groups, sockets."""
