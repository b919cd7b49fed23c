"""What a grammar is to a decoder: matchers of an engine behind one protocol, states numbered by text, room to the limit."""
