"""Version 1 of the contract: messages in `types_pb2` and `reward_service_pb2`, stubs in `reward_service_pb2_grpc`."""
