"""A synchronous line to an OPC UA server: its own event loop in a thread, one request a call."""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from graph.errors import RefusedError, UnavailableError

log = logging.getLogger(__name__)
T = TypeVar("T")


class OpcUaLink:
    """One session. Connects when first used, and again after a loss; safe to use from threads."""

    def __init__(self, endpoint: str, namespace: str, timeout_s: float = 4.0) -> None:
        self._endpoint, self._namespace, self._timeout_s = endpoint, namespace, timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="opcua")
        self._thread.start()
        self._connecting = asyncio.Lock()
        self._client: Any = None
        self._index = 0
        self._node_ids: dict[str, Any] = {}

    def read(self, names: Sequence[str]) -> list[Any]:
        """The data values of the nodes `s=<name>`, in one Read request."""
        return self._run(self._read(names))

    def call(self, method: str, *arguments: tuple[Any, str]) -> Any:
        """Call a method of the object `s=plant`; each argument is (value, OPC UA type name).

        Raises:
            RefusedError: the plant answered, and said no.
        """
        return self._run(self._call(method, arguments))

    def history(self, name: str, since: datetime) -> list[Any]:
        """Raw history of one node since `since`."""
        return self._run(self._history(name, since))

    def close(self) -> None:
        """End the session and the thread."""
        if self._loop.is_closed():
            return
        try:
            self._run(self._disconnect())
        except UnavailableError:
            log.debug("the plant was gone before the session was closed")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=self._timeout_s)
        if not self._thread.is_alive():
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        from asyncua import ua

        if self._loop.is_closed():
            work.close()
            raise UnavailableError(f"the line to {self._endpoint} is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(3 * self._timeout_s)
        except (OSError, TimeoutError, asyncio.CancelledError, ua.UaError) as error:
            future.cancel()
            asyncio.run_coroutine_threadsafe(self._drop(), self._loop)
            raise UnavailableError(
                f"the plant at {self._endpoint} does not answer: {error or type(error).__name__}",
                "is its OPC UA server running, and is the endpoint right?",
            ) from error

    async def _session(self) -> Any:
        if self._client is not None:
            return self._client
        async with self._connecting:
            if self._client is None:
                from asyncua import Client

                client = Client(self._endpoint, timeout=self._timeout_s)
                await client.connect()
                self._index = await client.get_namespace_index(self._namespace)
                self._node_ids.clear()
                self._client = client
        return self._client

    def _id(self, name: str) -> Any:
        if name not in self._node_ids:
            from asyncua import ua

            self._node_ids[name] = ua.NodeId(name, self._index)
        return self._node_ids[name]

    async def _read(self, names: Sequence[str]) -> list[Any]:
        from asyncua import ua

        for last_try in (False, True):
            client = await self._session()
            ids = [self._id(n) for n in names]
            try:
                return list(await client.uaclient.read_attributes(ids, ua.AttributeIds.Value))
            except ConnectionError:  # a session that died unnoticed; reading twice does no harm
                if last_try:
                    raise
                await self._drop()
        raise AssertionError("unreachable")

    async def _call(self, method: str, arguments: Sequence[tuple[Any, str]]) -> Any:
        from asyncua import ua

        client = await self._session()
        request = ua.CallMethodRequest(
            ObjectId=self._id("plant"),
            MethodId=await self._method(client, method),
            InputArguments=[
                ua.Variant(value, ua.VariantType[kind], is_array=isinstance(value, list))
                for value, kind in arguments
            ],
        )
        (result,) = await client.uaclient.call([request])
        if not result.StatusCode.is_good():
            raise RefusedError(
                "plant_refused", f"the plant refused {method}: {result.StatusCode.name}"
            )
        outputs = [v.Value for v in result.OutputArguments]
        return outputs[0] if len(outputs) == 1 else outputs

    async def _method(self, client: Any, method: str) -> Any:
        key = f"plant/{method}"
        if key not in self._node_ids:
            plant = client.get_node(self._id("plant"))
            for node in await plant.get_methods():
                name = (await node.read_browse_name()).Name
                self._node_ids[f"plant/{name}"] = node.nodeid
        if key not in self._node_ids:
            raise UnavailableError(f"the plant at {self._endpoint} has no method {method!r}")
        return self._node_ids[key]

    async def _history(self, name: str, since: datetime) -> list[Any]:
        client = await self._session()
        node = client.get_node(self._id(name))
        return list(await node.read_raw_history(since, datetime.max.replace(tzinfo=UTC)))

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                # Ends asyncua's own tasks, too; what it wants to tell the server goes nowhere.
                await asyncio.wait_for(client.disconnect(), self._timeout_s)
            except Exception:
                log.debug("a broken session did not close cleanly", exc_info=True)

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.disconnect()
