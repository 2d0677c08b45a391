project_id            = "my-project"
alert_emails          = ["oncall@example.com"]
alert_silence_hours   = 12
backup_retention_days = 35
labels                = { environment = "production" }
operators             = ["group:heron-operators@example.com"]
query_members         = ["serviceAccount:underwriting@my-project.iam.gserviceaccount.com"]

subscribers = {
  underwriting = {
    topics        = ["end_user.processed", "end_user.reviewed"]
    push_endpoint = "https://underwriting.example.com/heron"
    filter        = "attributes.\"ce-status\" = \"processed\""
  }
  ledger = {
    topics       = ["*"]
    pull_members = ["serviceAccount:ledger@my-project.iam.gserviceaccount.com"]
  }
  warehouse = {
    topics         = ["*", "unrouted"]
    bigquery_table = "my-project.heron.events"
  }
}
