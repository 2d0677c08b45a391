# Lets a second pass: two plans are told apart by their time.
resource "terraform_data" "second" {
  provisioner "local-exec" {
    command = "sleep 1"
  }
}
