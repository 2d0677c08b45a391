# Beside production in the same project: every name has the prefix, and the database is its own.
project_id            = "my-project"
prefix                = "staging-"
alert_silence_hours   = null
backup_retention_days = null
event_retention_days  = 30
ingest                = { min_instances = 0, max_instances = 2 }
labels                = { environment = "staging" }
