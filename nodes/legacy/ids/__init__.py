"""The nodes of old graphs, with the ids, inputs and numbers that IPAdapter_plus and others gave them."""
