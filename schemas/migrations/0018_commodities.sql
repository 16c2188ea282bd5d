-- Gas and heat are delivered and read as electricity and water are.
ALTER TABLE reading_type
    DROP CONSTRAINT reading_type_commodity_check,
    ADD CONSTRAINT reading_type_commodity_check
        CHECK (commodity IN ('electricity', 'water', 'gas', 'heat'));
ALTER TABLE usage_point
    DROP CONSTRAINT usage_point_commodity_check,
    ADD CONSTRAINT usage_point_commodity_check
        CHECK (commodity IN ('electricity', 'water', 'gas', 'heat'));
