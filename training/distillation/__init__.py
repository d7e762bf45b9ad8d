"""What a student learns from teachers: their answers, their features, their maps."""
