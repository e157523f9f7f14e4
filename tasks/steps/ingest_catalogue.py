"""The delivered catalogue is stored for the night's own day; a night reads the newest stored up to its own day."""

from datetime import date

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest import catalogue
from tasks.ingest.catalogue import Catalogue, delivery_of, read_catalogue
from tasks.night import Night
from tasks.publish.blocked import hide_blocked
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tasks.stores.ledger import record_catalogue
from tasks.stores.locks import hold_step


def ingest_catalogue(night: Night, settings: Settings) -> dict[str, float]:
    """Store the catalogue that holds on the night's own day as catalogue/date=D and note it in the ledger.

    Of the newest day, what it blocks is hidden from readers at once.

    Writes products.parquet and refused_products.parquet. Files without dated folders have no history: for a day older
    than yesterday, the stored catalogue is kept (kept 1), and only where none is stored, they are stored as they are
    now (taken_late_days). Raises what `delivery_of` and `read_catalogue` raise; what was stored before then stays.
    """
    storage, path = Storage(settings.storage_url), Night.catalogue(night.day)
    with hold_step(settings, f"catalogue of {night}"):
        delivery = delivery_of(night.day, settings)
        late = _days_late(night.day) if delivery.delivered is None else 0
        if late and storage.complete(path):
            return storage.read(path).counts | {"kept": 1}
        delivered = read_catalogue(delivery, settings)
        with storage.draft(path, sources=delivered.hashes) as draft:
            pq.write_table(delivered.products, draft.folder / "products.parquet")
            pq.write_table(delivered.refused, draft.folder / "refused_products.parquet")
            draft.counts |= _counts(delivered)
            if delivery.delivered is None:
                draft.counts["taken_late_days"] = late
            else:
                draft.counts["delivered_days_before"] = (night.day - delivery.delivered).days
            made = draft.finish()
            with transaction(settings) as connection:
                record_catalogue(night.day, delivery.name, made, connection)
                draft.put_in_place()
            draft.mark_complete()
        hide_blocked(night.day, delivered.products, settings)
    return made.counts


def _days_late(day: date) -> int:
    """Days since a day older than yesterday, else 0: the file as it is now still counts as that of yesterday."""
    age = (catalogue.today() - day).days
    return age if age > 1 else 0


def _counts(delivered: Catalogue) -> dict[str, int]:
    products = delivered.products
    flags = {name: pc.sum(products[name]).as_py() for name in ("in_stock", "blocked")}
    counts = {"files": len(delivered.hashes), "products": len(products), "refused": len(delivered.refused)}
    return counts | flags
