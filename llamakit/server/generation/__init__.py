"""Any API's body to a generation, and what a job says to texts and messages."""
