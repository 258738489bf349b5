"""The HTTP backend that existing web clients call: it makes TranscriptionTasks, and the operator does the rest."""
