"""PySyft's own views of a datasite, for an owner in a notebook: its data sets and its jobs."""

from syft_datasets import DatasetStorage
from syft_datasets.dataset_manager import SyftDatasetManager

from datasites.syft_bridge.folder import SyftFolder
from datasites.syft_bridge.job_views import Jobs


def data_sets_view(folder: SyftFolder) -> SyftDatasetManager:
    """PySyft's manager over the published data sets; `private_files` leads to the files outside the box.

    `SyftDatasetManager(box, owner_email)` shows the same data sets without their private files.
    """
    manager = SyftDatasetManager(folder.box, folder.owner_email)
    manager.syftbox_config = folder.data_set_config()
    manager.storage = DatasetStorage(manager.syftbox_config)
    return manager


def jobs_view(folder: SyftFolder) -> Jobs:
    """PySyft's client over the recorded requests: `.jobs` lists them, newest first.

    What is approved or rejected here is not heeded: decisions are taken with the datasite's own commands.
    """
    # Upstream prints when it makes this folder itself.
    (folder.box / folder.owner_email).mkdir(parents=True, exist_ok=True, mode=0o700)
    return Jobs(folder.job_config())
