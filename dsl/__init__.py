"""What users declare: stages, pipelines, spec files."""
