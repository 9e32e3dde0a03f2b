-- Telephone PINs: 4321 and 8765.
INSERT INTO bank.customers (subject, street, postcode, number, pin_hash) VALUES
    ('c-1001', '12 Mill Lane', 'YO1 7HH', '+441632960123', 'a76e09fbfa3ba4b7804b02ed4637e6d34495986c048f6cf20f91e21f7df75df0'),
    ('c-1002', 'Lindenweg 4', '20095', '+4930123456', 'ee5425e8cc3cb25207b1861ce2709dfef8b78ae4cf478151142ebaddd98536a0')
ON CONFLICT DO NOTHING;
INSERT INTO bank.accounts VALUES ('c-1001', 125050, 'GBP'), ('c-1002', 98020, 'EUR') ON CONFLICT DO NOTHING;
INSERT INTO bank.cards (card_id, subject, last4, kind) VALUES
    ('card-1', 'c-1001', '4417', 'debit'), ('card-2', 'c-1001', '9023', 'credit'), ('card-3', 'c-1002', '5511', 'debit')
ON CONFLICT DO NOTHING;
INSERT INTO bank.transactions VALUES
    ('txn-1', 'c-1001', 'Blue Kettle Cafe', '2026-11-20', 1250, 'GBP', true),
    ('txn-2', 'c-1001', 'Northern Rail', '2026-11-18', 5000, 'GBP', true),
    ('txn-3', 'c-1001', 'Northern Rail', '2026-11-19', 1500, 'GBP', true),
    ('txn-4', 'c-1001', 'City Lottery', '2026-11-15', 2000, 'GBP', false),
    ('txn-5', 'c-1002', 'Buchhandlung Meier', '2026-11-21', 3490, 'EUR', true)
ON CONFLICT DO NOTHING;
