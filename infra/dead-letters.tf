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

# The second for the whole project, once, and not for each of some 45 subscriptions a subscriber: the agent is Google's
# own, it carries every message here anyway, and a subscription that is made anew cannot lose the grant.
resource "google_project_iam_member" "pubsub_agent" {
  project = var.project_id
  role    = "roles/pubsub.subscriber"
  member  = local.pubsub_agent

  depends_on = [google_pubsub_subscription.dead_letter]
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

# `heron forget` looks into every dead-letter subscription there is, and so lists them.
resource "google_project_iam_member" "operator_bus" {
  for_each = var.operators

  project = var.project_id
  role    = "roles/pubsub.viewer"
  member  = each.value
}
