locals {
  runtime = "nodejs24"

  # Every function's own account. What it may do stands beside what it may do it to.
  functions = merge(
    {
      ingest    = "Takes Heron's webhooks in"
      projector = "Keeps the event log and the end users' state"
      query     = "Answers where an end user stands"
    },
    var.recover ? { recover = "Brings in what Heron gave up delivering" } : {},
  )

  # What each gets beside its configuration; the benchmark starts them with the same.
  runtime_environment = jsondecode(file("${path.module}/../functions/runtime.json"))

  environment = merge(var.telemetry, {
    GOOGLE_CLOUD_PROJECT = var.project_id
    NODE_ENV             = "production"
  })
}

resource "google_service_account" "function" {
  for_each = local.functions

  account_id   = "${var.prefix}fn-${each.key}"
  display_name = each.value

  depends_on = [google_project_service.api]
}
