"""From blocks of many streams to answers: credits, batches, and each block answered once."""
