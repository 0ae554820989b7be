import Testing

@Suite struct DeviceTypesTests {}
