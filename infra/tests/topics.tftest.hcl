# The first plan of all, when nothing that Google decides is known yet.
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {}

variables {
  project_id   = "my-project"
  alert_emails = ["oncall@example.com"]
}

run "topics" {
  command = plan

  assert {
    condition     = toset([for topic in google_pubsub_topic.event : topic.name]) == toset(concat(jsondecode(file("../functions/heron/topics.json"))[*].topic, ["unrouted", "doctor.canary"]))
    error_message = "there is a topic for each entry of topics.json, named after it, unrouted, and one for the doctor's canary"
  }

  assert {
    condition     = length(google_pubsub_topic.event) == length(jsondecode(file("../functions/heron/topics.json"))) + 2
    error_message = "no topic is listed twice"
  }
}
