locals {
  delivery     = jsondecode(file("${path.module}/../functions/bus/delivery.json"))
  heron_topics = [for topic in jsondecode(file("${path.module}/../functions/heron/topics.json")) : topic.topic]
}

# One for each Heron topic, `unrouted` for what Heron signed and we have no topic for, and `doctor.canary` for the signed
# test that `heron doctor` sends through the real path, which the projector alone takes.
resource "google_pubsub_topic" "event" {
  for_each = toset(concat(local.heron_topics, ["unrouted", "doctor.canary"]))

  name                       = "${var.prefix}${each.value}"
  message_retention_duration = "${var.topic_retention_days * 86400}s" # a new subscription can seek back this far

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic_iam_member" "ingest" {
  for_each = google_pubsub_topic.event

  topic  = each.value.name
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:${google_service_account.function["ingest"].email}"
}
