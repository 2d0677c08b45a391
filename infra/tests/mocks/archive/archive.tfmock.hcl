# Not made for a plan: it would take most of its time.
override_data {
  target          = data.archive_file.source
  override_during = plan
  values = {
    output_path   = "functions.zip"
    output_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  }
}
