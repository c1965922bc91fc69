"""How Puente's own encoder is made: sources, vocabulary, teacher, student, publication."""
