# Reads an example, for the tests.
terraform {
  required_providers {
    terraform = {
      source = "terraform.io/builtin/terraform"
    }
  }
}

variable "name" {
  type = string
}

output "values" {
  value = provider::terraform::decode_tfvars(file("${path.module}/../../examples/${var.name}.tfvars"))
}
