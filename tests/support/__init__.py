"""What tests of every level share: factories, commands, a studio to talk to."""
