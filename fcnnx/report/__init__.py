"""What a build costs and how fast it is: for programs, and for people."""
