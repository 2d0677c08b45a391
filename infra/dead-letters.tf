# For each subscriber a topic for what it could not take, with a subscription where it can be read (without one it would
# be lost), and a topic whose messages reach that subscriber and nobody else.
resource "google_pubsub_topic" "dead_letter" {
  for_each = setunion(keys(var.subscribers), ["projector"])

  name = "${var.prefix}dead-letter.${each.value}"

  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "dead_letter" {
  for_each = google_pubsub_topic.dead_letter

  name                       = each.value.name
  topic                      = each.value.name
  ack_deadline_seconds       = local.delivery.ack_deadline_seconds
  message_retention_duration = "2678400s" # 31 days, the most there is
  deletion_policy            = var.deletion_protection ? "PREVENT" : "DELETE"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic" "replay" {
  for_each = setunion(keys(var.subscribers), ["projector"])

  name = "${var.prefix}replay.${each.value}"

  depends_on = [google_project_service.api]
}

# Pub/Sub forwards a dead letter in two steps: it publishes it, and acknowledges the original.
resource "google_pubsub_topic_iam_member" "pubsub_agent" {
  for_each = google_pubsub_topic.dead_letter

  topic  = each.value.name
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent

  depends_on = [google_pubsub_subscription.dead_letter]
}

# The second on each subscription, not once on the project: another environment there would share that grant, and take it
# along when it is destroyed.
resource "google_pubsub_subscription_iam_member" "pubsub_agent" {
  for_each = google_pubsub_subscription.subscriber

  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent

  lifecycle {
    replace_triggered_by = [google_pubsub_subscription.subscriber[each.key].id] # one made anew forgets its grants
  }
}

resource "google_pubsub_subscription_iam_member" "operator" {
  for_each = { for grant in setproduct(keys(google_pubsub_topic.dead_letter), var.operators) : join(" ", grant) => grant }

  subscription = google_pubsub_subscription.dead_letter[each.value[0]].name
  role         = "roles/pubsub.subscriber"
  member       = each.value[1]
}

resource "google_pubsub_topic_iam_member" "operator" {
  for_each = { for grant in setproduct(keys(google_pubsub_topic.replay), var.operators) : join(" ", grant) => grant }

  topic  = google_pubsub_topic.replay[each.value[0]].name
  role   = "roles/pubsub.publisher"
  member = each.value[1]
}

# `heron forget` looks into every dead-letter subscription there is, and so lists them: a right that only the project can
# give. A condition makes a grant one of its own, which another environment neither shares nor takes along; Pub/Sub knows
# none on names, so this one is always true.
resource "google_project_iam_member" "operator_bus" {
  for_each = var.operators

  project = var.project_id
  role    = "roles/pubsub.viewer"
  member  = each.value

  condition {
    title       = "${var.prefix}heron"
    description = "Always true: it keeps this environment's grant apart from others'"
    expression  = "request.time >= timestamp(\"2000-01-01T00:00:00Z\")"
  }

  depends_on = [google_project_service.api]
}
