"""The client: HelixNet from Python, over HTTP.

from helixnet.client import Client

with Client("http://127.0.0.1:8000") as helix:
    helix.sign_in("demo@helix.net", "demo")
    accepted = helix.upload(content=Path("report.txt"), context=Path("questions.txt"))
    job = helix.wait(accepted.job_id)
    print(job.status, job.result_content)
"""

from helixnet.client.sync import Client, ProblemError
from helixnet.jobs.schemas import JobSubmission

__all__ = ["Client", "JobSubmission", "ProblemError"]
