locals {
  delivery     = jsondecode(file("${path.module}/../functions/bus/delivery.json"))
  heron_topics = [for topic in jsondecode(file("${path.module}/../functions/heron/topics.json")) : topic.topic]
}

# One for each Heron topic, and `unrouted` for what Heron signed and we have no topic for.
resource "google_pubsub_topic" "event" {
  for_each = toset(concat(local.heron_topics, ["unrouted"]))

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
