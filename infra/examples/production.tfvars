project_id            = "my-project"
alert_emails          = ["oncall@example.com"]
alert_silence_hours   = 12
backup_retention_days = 35
labels                = { environment = "production" }
operators             = ["group:heron-operators@example.com"]
query_members         = ["serviceAccount:underwriting@my-project.iam.gserviceaccount.com"]
recover               = true # the first apply needs TF_VAR_heron_api_key

subscribers = {
  underwriting = {
    topics           = ["end_user.processed", "end_user.reviewed"]
    push_endpoint    = "https://underwriting.example.com/heron"
    filter           = "attributes.\"ce-status\" = \"processed\""
    service_accounts = ["underwriting@my-project.iam.gserviceaccount.com"]
  }
  notifications = {
    topics        = ["end_user.*"]
    push_endpoint = "https://notifications.example.com/heron"
    paused        = true
  }
  ledger = {
    topics           = ["*"]
    service_accounts = ["ledger@my-project.iam.gserviceaccount.com"]
    pull_members     = ["group:ledger-team@example.com"]
  }
  warehouse = {
    topics         = ["*", "unrouted"]
    bigquery_table = "my-project.heron.events"
  }
}
