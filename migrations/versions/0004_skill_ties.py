"""skill ties: which skills of the starter list mean the same as one of the imported catalogue."""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('skill_tie',
    sa.Column('starter', sa.String(length=120), nullable=False),
    sa.Column('uri', sa.String(length=120), nullable=False),
    sa.ForeignKeyConstraint(['uri'], ['skill.uri'], name=op.f('fk_skill_tie_uri_skill'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('starter', name=op.f('pk_skill_tie'))
    )
    with op.batch_alter_table('skill_tie') as batch_op:
        batch_op.create_index(op.f('ix_skill_tie_uri'), ['uri'], unique=False)


def downgrade():
    with op.batch_alter_table('skill_tie') as batch_op:
        batch_op.drop_index(op.f('ix_skill_tie_uri'))
    op.drop_table('skill_tie')
