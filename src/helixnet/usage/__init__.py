"""What metered work has cost: each call, each owner's months and budgets, and answers that need not be paid twice."""
